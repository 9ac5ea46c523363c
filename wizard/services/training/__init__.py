"""From a container to a trained model: the code, what it needs, the rehearsal, the run, and what comes after it."""
