"""What can go wrong on the way home, named after what happened."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused


class AddressNotFound(NotFound):
    """No such address, or somebody else's."""

    code = "address-not-found"
    title = "没有找到该地址"


class AddressInvalid(Invalid):
    """Name, phone, region or street cannot be sent to."""

    code = "address-invalid"
    title = "收件信息有误，请核对"


class TooManyAddresses(Conflict):
    """More addresses than one person may keep."""

    code = "too-many-addresses"
    title = "保存的地址已达上限，请先删除不用的地址"


class PickupPointNotFound(NotFound):
    """No such counter, or it is closed."""

    code = "pickup-point-not-found"
    title = "没有找到该领取点"


class DeliveryNotFound(NotFound):
    """No such delivery, or somebody else's."""

    code = "delivery-not-found"
    title = "没有找到该寄送"


class DeliveryNotOffered(Invalid):
    """The published guide does not offer this way for this matter."""

    code = "delivery-not-offered"
    title = "该事项不提供这种领取方式"


class DeliveryAlreadyChosen(Conflict):
    """One delivery for this matter is under way."""

    code = "delivery-already-chosen"
    title = "已选择领取方式，可在寄送详情中修改"


class DeliveryMoveRefused(Conflict):
    """The delivery is not in a state from which this is possible."""

    code = "delivery-move-refused"
    title = "当前状态不能进行该操作"


class AddressFixed(Conflict):
    """The courier has picked it up: the address cannot be changed any more."""

    code = "delivery-address-fixed"
    title = "快件已揽收，不能再修改地址"


class PostageUnpaid(Conflict):
    """The resident has not paid the postage yet."""

    code = "postage-unpaid"
    title = "邮费尚未支付"


class CourierUnknown(Invalid):
    """Nobody of that name is configured here."""

    code = "courier-unknown"
    title = "未接入该快递公司"


class WaybillTaken(Conflict):
    """Another parcel under way has this number."""

    code = "waybill-taken"
    title = "该运单号已被其他在途寄送使用"


class HandOverRefused(Refused):
    """Whoever stands at the counter could not show that it is theirs."""

    code = "hand-over-refused"
    title = "身份或取件码核验未通过"


class ProblemNotFound(NotFound):
    """No such problem."""

    code = "delivery-problem-not-found"
    title = "没有找到该问题"


class ProblemEnded(Conflict):
    """Somebody has answered it already."""

    code = "delivery-problem-ended"
    title = "该问题已处理"
