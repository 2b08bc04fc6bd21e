"""What flows: events, observations, outcomes, identities and what is known of them."""
