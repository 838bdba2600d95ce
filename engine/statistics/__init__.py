"""What is known of fitted parameters: standard errors, leverage, evidence."""
