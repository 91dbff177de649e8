"""Relative names of topics and services, in one place. All can be remapped.

The reference (``make reference``) takes its words from the comments.
"""

STATE = "state"  # the whole scene after a control step, a reset or a written state
STEP_INFO = "step_info"  # with `state`: action, reward and the end of the episode
SPEC = "spec"  # what the bridge hosts, once; from then on it can be found
JOINT_STATES = "joint_states"  # as `robot_state_publisher` expects it, every control step
CLOCK = "clock"  # simulation time, every control step
TF = "tf"  # all links in `world`, every control step
TF_STATIC = "tf_static"  # a robot's fixed frames, for a mirror of `joint_states`
DIAGNOSTICS = "/diagnostics"  # of the mirror, a rollout, a bridge in real time
CAMERA_IMAGE = "camera/{}/image_raw"  # pictures at the camera's own rate
CAMERA_INFO = "camera/{}/camera_info"  # intrinsics, with every picture

RESET = "reset"  # start an episode; for the client in control
STEP = "step"  # take control steps; for the client in control
STEP_LEAN = "step_lean"  # `step` with a small answer, for loops
GET_STATE = "get_state"  # read the scene; for anyone
SET_STATE = "set_state"  # write the scene; for the client in control
RENDER = "render"  # pictures of the scene as it is; for anyone
CONTROL = "control"  # take, keep, give back or ask for control
GET_MODEL = "get_model"  # the scene's model files; for anyone

JOINT_COMMAND = "joint_command"  # targets for a bridge in real time
JOINT_TRAJECTORY_COMMAND = "joint_trajectory_command"  # the same, as a trajectory
PAUSE = "pause"  # stop the wall clock of a bridge in real time, or let it go on
SINGLE_STEP = "single_step"  # one control step while paused

INFER_CHUNK = "infer_chunk"  # observation in, action chunk out
GET_POLICY = "get_policy"  # what the policy is, and which cameras it needs
RESET_POLICY = "reset_policy"  # a new episode of one client's policy
ROLLOUT = "rollout"  # episodes: observe, infer, execute, until the end of each
REPLAY = "replay"  # carry out a recorded trajectory

MIRROR_IMAGE = "mirror/image_raw"  # the mirror's picture, which the monitor shows
MIRROR_FIDELITY = "mirror/fidelity"  # joint and link errors, lag, dropped states
RECORD = "mirror/record"  # start or end a video

ROLLOUT_PROGRESS = "rollout: progress"  # the entry of DIAGNOSTICS that says how far it is
CHUNK_INFO = "chunk_info"  # timings of each chunk, for the monitor
VERDICT = "verdict"  # a person's word that the episode succeeded

WORLD_FRAME = "world"


def namespaces(count: int, prefix: str = "env_") -> list[str]:
    """``env_0 ... env_{count-1}``: what ``vector.launch.xml`` starts."""
    return [f"{prefix}{i}" for i in range(count)]
