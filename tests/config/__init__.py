"""The operator's files: ECS, image, alarms, and the deployment guide that uses them."""
