"""Figures and reports of claims, with Plotly."""
