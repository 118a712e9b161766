"""The probe of a scan and of a result: its modes, and the beam along the axis."""
