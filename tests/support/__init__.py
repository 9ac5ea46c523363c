"""What the tests bring up themselves: private engines, images, registries."""
