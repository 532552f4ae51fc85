"""What comes from elsewhere: parameters of Stable-Baselines3, recorded transitions."""
