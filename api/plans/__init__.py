"""Plans of a day as suggestions: what is known of the day, gathered; the solver, in a process of its own."""
