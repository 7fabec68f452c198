"""What the services have in common: names, payloads, errors, settings, logging, health. No service imports another."""
