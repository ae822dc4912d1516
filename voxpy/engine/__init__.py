"""What every session needs; knows neither SIP nor Inworld."""
