"""What an operator is given: files for ECS, image, alarms, and the way through them."""
