"""What can go wrong on the way home, named after what happened."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused, TooMany


class AddressNotFound(NotFound):
    """No such address, or another resident's."""

    title = "没有找到该地址"


class AddressInvalid(Invalid):
    """Name, phone, region or street cannot be sent to."""

    title = "收件信息有误，请核对"


class AddressLimitExceeded(Conflict):
    """More addresses than one person may keep."""

    title = "保存的地址已达上限，请先删除不用的地址"


class PickupPointNotFound(NotFound):
    """No such counter, or it is closed."""

    title = "没有找到该领取点"


class DeliveryNotFound(NotFound):
    """No such delivery, or another resident's."""

    title = "没有找到该寄送"


class DeliveryNotOffered(Invalid):
    """The published guide does not offer this way for this matter."""

    title = "该事项不提供这种领取方式"


class DeliveryAlreadyChosen(Conflict):
    """One delivery for this matter is under way."""

    title = "已选择领取方式，可在寄送详情中修改"


class DeliveryTransitionRefused(Conflict):
    """The delivery is not in a state from which this is possible."""

    title = "当前状态不能进行该操作"


class DeliveryAddressFixed(Conflict):
    """The courier has picked it up: the address cannot be changed any more."""

    title = "快件已揽收，不能再修改地址"


class PostageUnpaid(Conflict):
    """The resident has not paid the postage yet."""

    title = "邮费尚未支付"


class CourierOrderInProgress(Conflict):
    """We wait for the courier's answer to the order."""

    title = "正在向快递公司下单，请稍后再试"
    retryable = True


class DeliveryOfficeInvalid(Conflict):
    """Nothing is known of the department that sends or receives: it has no address here."""

    title = "未登记寄件部门及其地址"


class ReceiverForgotten(Conflict):
    """No address is kept: the person was erased at their wish, or it goes another way. Nothing can be sent there."""

    title = "收件人已注销，收件信息已删除"


class CourierInvalid(Invalid):
    """No courier of that name is configured here."""

    title = "未接入该快递公司"


class WaybillInvalid(Invalid):
    """That is no number of a parcel, or no company."""

    title = "运单号或快递公司有误，请核对"


class WaybillTaken(Conflict):
    """Another parcel under way has this number."""

    title = "该运单号已被其他在途寄送使用"


class HandOverRefused(Refused):
    """The person at the counter could not prove to be its owner."""

    title = "身份或取件码核验未通过"


class DeliveryProblemNotFound(NotFound):
    """No such problem."""

    title = "没有找到该问题"


class DeliveryProblemResolved(Conflict):
    """It has been answered already."""

    title = "该问题已处理"


class TraceNotOffered(Conflict):
    """WeChat shows only parcels of orders that were paid through it."""

    title = "该寄送不支持在微信中查询物流"


class AddressChanged(Conflict):
    """The address was changed since the version that the change is based on."""

    title = "地址已在别处修改，请刷新后重试"


class DeliveryReceiverNotFound(NotFound):
    """There is no such person, or they have not given the right to act for them in deliveries."""

    title = "没有找到该收件人，或未获其代办授权"


class PickupPointInvalid(Invalid):
    """Region, hours or phone of a counter cannot be."""

    title = "领取点信息有误，请核对"


class PickupPointTaken(Conflict):
    """Another counter has this code."""

    title = "该领取点编码已被使用"


class PickupPointInUse(Conflict):
    """Something is still waiting there to be fetched."""

    title = "该领取点还有待领取的证照，不能关闭"


class HandOverTried(TooMany):
    """Too often in a row no person could prove to be its owner."""

    title = "核验失败次数过多，请稍后再试"


class SignatureUnusable(Invalid):
    """The picture is no signature: not a PNG as it should be, too large, or nothing is drawn on it."""

    title = "签名图片无法使用，请重新签名"


class DeliveryProblemAlreadyReported(Conflict):
    """The resident has reported one already, and it is being looked into."""

    title = "您已反映过问题，我们正在处理"


class DeliveryBatchNotFound(NotFound):
    """No such batch, or another department's."""

    title = "没有找到该批次"
