"""Any registered Gymnasium environment that MuJoCo moves, with presets for those tasks that say
too little of themselves."""
