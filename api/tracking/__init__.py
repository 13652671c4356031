"""What a customer sees and says through a tracking link."""
