"""The mirror node: ROS callbacks hand over, one worker thread draws. Imports all other folders but
`monitor`."""
