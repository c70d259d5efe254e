"""What is to be recorded, as records: plans, their problems and estimates, presets. No Qt."""
