"""Isaac Lab tasks with PhysX or Newton, on the CPU or a GPU. Imports Isaac only once a task is
opened."""
