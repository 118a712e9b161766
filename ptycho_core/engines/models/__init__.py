"""The two engines as LightningModules."""
