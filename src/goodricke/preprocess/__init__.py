"""From light curves to what a network takes: cleaning, detrending, folding, standardising, padding."""
