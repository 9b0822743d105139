"""The main job from end to end on this machine: `zhangban demo`.

It is a client. Everything it does, it does over real HTTP as a mini-program, a department's system or WeChat would;
of our own code it uses what starts the servers, signs a department's requests and knows the templates' ids.
"""
