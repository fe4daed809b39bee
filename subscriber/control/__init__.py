"""How the number that goes backwards is found."""
