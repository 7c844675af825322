"""A study of the sample with a tiny encoder, as a user would run it: the runs, and what is done when it is run again.

What is read of its runs, by `predict` and `report`, is tested with them in test_predict.py and test_report.py.
"""
