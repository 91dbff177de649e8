"""Relative names of topics and services, in one place. All can be remapped."""

STATE = "state"
STEP_INFO = "step_info"
SPEC = "spec"
JOINT_STATES = "joint_states"
CLOCK = "clock"
TF = "tf"
TF_STATIC = "tf_static"
DIAGNOSTICS = "/diagnostics"
CAMERA_IMAGE = "camera/{}/image_raw"
CAMERA_INFO = "camera/{}/camera_info"

RESET = "reset"
STEP = "step"
STEP_LEAN = "step_lean"
GET_STATE = "get_state"
SET_STATE = "set_state"
RENDER = "render"
CONTROL = "control"
GET_MODEL = "get_model"

JOINT_COMMAND = "joint_command"
JOINT_TRAJECTORY_COMMAND = "joint_trajectory_command"
PAUSE = "pause"
SINGLE_STEP = "single_step"

INFER_CHUNK = "infer_chunk"
RESET_POLICY = "reset_policy"
ROLLOUT = "rollout"
REPLAY = "replay"

MIRROR_IMAGE = "mirror/image_raw"
MIRROR_FIDELITY = "mirror/fidelity"
RECORD = "mirror/record"

CHUNK_INFO = "chunk_info"
VERDICT = "verdict"

WORLD_FRAME = "world"


def namespaces(count: int, prefix: str = "env_") -> list[str]:
    """``env_0 ... env_{count-1}``: what ``vector.launch.xml`` starts."""
    return [f"{prefix}{i}" for i in range(count)]
