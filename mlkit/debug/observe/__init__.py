"""Recorders of what a program does, one public seam of torch a file; each only tells the session what it saw.

Not here: judgement, and anything that changes the program.
"""
