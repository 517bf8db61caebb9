"""Programs that prove more than a test run can: chaos, model, soak, fuzz, mutants, benches."""
