"""The policy node: one worker owns the policy, ROS and other protocols ask it. Imports
`policies`."""
