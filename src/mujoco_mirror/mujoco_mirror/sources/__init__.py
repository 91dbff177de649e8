"""Where states and models come from: bags, joint states, tf, URDF, a simulator. Imports
`model`."""
