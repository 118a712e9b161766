"""Dialogs: what an operator is asked before something is done."""
