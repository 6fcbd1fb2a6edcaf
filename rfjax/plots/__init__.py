"""Figures from data; nothing here computes."""
