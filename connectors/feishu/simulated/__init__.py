"""The parts of the simulated Feishu: its tenant, its approvals, its pushes, its long connection."""
