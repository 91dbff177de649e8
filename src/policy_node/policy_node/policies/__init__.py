"""What can act, found by its address (`registry`). Without ROS; imports nothing that runs
policies: neither `node` nor `rollout` nor `learn`."""
