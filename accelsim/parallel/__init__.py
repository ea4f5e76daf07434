"""A model's graph split over devices, with the collectives that the split needs."""
