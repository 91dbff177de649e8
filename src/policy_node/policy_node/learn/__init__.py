"""Making the policy of the demo: demonstrations, training, export, report."""

NEEDS_TORCH = "this program needs PyTorch, see docs/how-to/train-a-policy.md"
