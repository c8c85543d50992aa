"""A decision that reads every kind of field, feature and aggregate, and one key beside its own."""

DECISION = """
name: transfers
version: "1"
framing:
  event: a customer orders a transfer
  population: all customers with an account in use
  target: whether the transfer was disputed within 30 days of it
  horizon_days: 30
  label_delay_days: 35
  kpi: {name: disputed_share, unit: share of transfers, better: lower}
  owner: the payments team
request:
  entity: customer
  time: ordered_at
  fields:
    customer: {type: text, max_length: 40, missing: unknown}
    merchant: {type: text, max_length: 40, missing: unknown}
    ordered_at: {type: time}
    opened_at: {type: time, missing: unknown}
    amount: {type: number, min: 0, max: 1000000}
    usual_amount: {type: number, missing: unknown}
    tries: {type: integer, min: 0, max: 9, missing: unknown}
    abroad: {type: boolean, missing: unknown}
    country: {type: category, values: [fr, de, nl], missing: unknown, unseen: unknown}
    purpose: {type: text, max_length: 200, missing: unknown}
    disputed: {type: boolean, missing: unknown, available: false}
entities:
  customer:
    key: customer
    events:
      payment:
        meaning: a payment went out
        fields:
          amount: {type: number, min: 0}
          fee: {type: number, missing: unknown}
          shop: {type: text, missing: unknown}
      login: {meaning: the customer logged in}
    features:
      payments_30d: {event: payment, aggregate: count, days: 30, version: 2, owner: risk-team}
      spent_30d: {event: payment, aggregate: sum, of: amount, days: 30}
      mean_7d: {event: payment, aggregate: mean, of: amount, days: 7}
      least_30d: {event: payment, aggregate: min, of: amount, days: 30}
      most_30d: {event: payment, aggregate: max, of: amount, days: 30}
      last_fee: {event: payment, aggregate: last, of: fee, days: 90}
      days_since_login: {event: login, aggregate: days_since, days: 90}
    fresh_within_hours: 48
  merchant:
    key: merchant
    events:
      complaint: {meaning: somebody complained about the merchant}
    features:
      complaints_90d: {event: complaint, aggregate: count, days: 90}
outcomes:
  hold: the transfer waits for a call
  pass: the transfer is sent
costs:
  currency: EUR
  error: 5
  wrong_answer: 5
  person: {price: 4, minutes: 10, error_rate: 0.02}
budgets:
  latency_p95_ms: 50
  deadline_ms: 1000
  throughput_per_s: 50
  price_per_decision: 0
  price_per_day: 0
risk:
  outcome: hold
  otherwise: pass
  label: disputed
  features:
    amount: {kind: number, of: amount}
    size: {kind: log1p, of: amount}
    relative: {kind: ratio, of: [amount, usual_amount]}
    tries: {kind: number, of: tries}
    no_tries: {kind: missing, of: tries}
    abroad: {kind: number, of: abroad}
    country: {kind: category, of: country}
    hour: {kind: hour, of: ordered_at}
    day: {kind: weekday, of: ordered_at}
    opened_hour: {kind: hour, of: opened_at}
    words: {kind: length, of: purpose}
    payments: {kind: number, of: payments_30d, version: 3, owner: risk-team}
    spent: {kind: log1p, of: spent_30d}
    against_mean: {kind: ratio, of: [amount, mean_7d]}
    no_login: {kind: missing, of: days_since_login}
    complaints: {kind: number, of: complaints_90d}
"""
