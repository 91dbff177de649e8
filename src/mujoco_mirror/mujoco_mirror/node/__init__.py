"""The mirror node: ROS hands over, one worker thread draws. Imports all other folders but
`monitor`."""
