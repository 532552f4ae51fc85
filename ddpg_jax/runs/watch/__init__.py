"""`ddpg-jax watch`: what a policy does, as a film and as one picture.

The environment is chosen in filmed_env.py, played in episode.py, and shown by film.py and contact_sheet.py.
"""
