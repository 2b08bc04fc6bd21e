"""The Ingester document: its model, how it is read and checked, and the plan that is made of it."""
