"""An independent, naive statement of the rules of a sequence, to hold the fast paths against."""
