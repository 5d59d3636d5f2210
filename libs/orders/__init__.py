"""Orders as pure folds over events: lifecycle, fills, positions, profit, charges, reconciliation. No I/O, no clock."""
