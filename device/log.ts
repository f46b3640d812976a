/**
 * The terminal's log: one JSON record a line. Which fields are secret is written here and nowhere else.
 */
import { type DestinationStream, type Logger, pino } from 'pino'

const SECRET_FIELDS = ['password', 'key.d', 'payload', 'sealed', 'nonce']

export const createLog = (level: string, destination?: DestinationStream): Logger =>
  pino({
    level,
    base: { program: 'terminal' },
    redact: { paths: [...SECRET_FIELDS, ...SECRET_FIELDS.map((field) => `*.${field}`)], censor: '[secret]' },
    serializers: { error: pino.stdSerializers.err },
  }, destination ?? pino.destination({ dest: 1, sync: true }))
