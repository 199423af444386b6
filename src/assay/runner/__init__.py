"""Settings times seeds, through an executor, into the store; resumes by content address."""
