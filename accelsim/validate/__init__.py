"""Predictions beside measured and published data, and the calibration that follows from them."""
