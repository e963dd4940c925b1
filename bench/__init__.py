"""Where the README's figures come from: this hub beside what one would write first, in one run, as ratios."""
