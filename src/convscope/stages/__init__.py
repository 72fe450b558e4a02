"""The questions, one file each: Settings, check(settings) and run(settings, tracker).

Open circuit.py first; launch.py is the life of a job, from its folder to its last line.
"""
