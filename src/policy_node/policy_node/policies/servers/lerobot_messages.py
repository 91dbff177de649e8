"""The four messages of LeRobot's ``transport.AsyncInference`` service.

Source: github.com/huggingface/lerobot, ``src/lerobot/transport/services.proto``. Described here
with protobuf's own descriptors, in a pool of their own, so that they neither need a generated
file nor collide with LeRobot's in a process that imports both.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "/transport.AsyncInference/"
TRANSFER_BEGIN, TRANSFER_MIDDLE, TRANSFER_END = 1, 2, 3

_FIELD = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="policy_node/async_inference.proto", package="transport", syntax="proto3"
    )
    # An enum is a varint on the wire, so transfer_state needs no enum type here.
    state = _FIELD(name="transfer_state", number=1, type=_FIELD.TYPE_INT32)
    fields = {"Observation": 2, "Actions": 1, "PolicySetup": 1, "Empty": 0}
    for name, data_number in fields.items():
        message = file.message_type.add(name=name)
        if data_number == 2:
            message.field.add().CopyFrom(state)
        if data_number:
            message.field.add(name="data", number=data_number, type=_FIELD.TYPE_BYTES)
        for field in message.field:
            field.label = _FIELD.LABEL_OPTIONAL
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _message(name: str):
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"transport.{name}"))


Observation = _message("Observation")
Actions = _message("Actions")
PolicySetup = _message("PolicySetup")
Empty = _message("Empty")
