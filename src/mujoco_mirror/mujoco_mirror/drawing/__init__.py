"""From a model and its state to a picture: dressed scene, camera, renderer, window. Imports
`model` alone."""
