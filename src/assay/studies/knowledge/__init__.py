"""What a model does with facts that it is told."""
