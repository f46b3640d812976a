/**
 * The command line of operator.ts: options, files and exit codes. A reader opens the database so that nothing can change
 * in it, and who writes becomes no gateway by it: all of this works beside one that runs.
 */
import { type Command, type CommandOptions, InvalidArgumentError, Option } from 'commander'
import { existsSync } from 'node:fs'
import { type DayIn, isDay, theDay, yesterday } from './calendar.js'
import { wallClock } from './clock.js'
import type { GatewayConfig } from './config.js'
import { createLog } from './log.js'
import { createOmise } from './omise.js'
import {
  type Answer, closeTheDay, listExceptions, resolveException, showException, tellReconciliation, tellSale, tellVerification,
} from './operator.js'
import { readAndReconcile } from './reconciler.js'
import { type Books, openStore, readStore, type Resolution, type Store } from './store.js'

interface Asked { config: string; json: boolean }
type AskedOf<Options> = Asked & Options

export function addOperatorCommands(program: Command, configOf: (file: string) => Promise<GatewayConfig>): void {
  const now = (): number => wallClock.now()
  const databaseOf = async (config: string): Promise<string> => (await configOf(config)).database
  const reading = async ({ config, json }: Asked, question: (books: Books) => Promise<Answer>): Promise<void> =>
    answer(await databaseOf(config), json, readStore, question)
  const writing = async ({ config, json }: Asked, question: (store: Store) => Promise<Answer>): Promise<void> =>
    answer(await databaseOf(config), json, openStore, question)

  const exceptions = program.command('exceptions').description('money that a person must look at')
  command(exceptions, 'list', 'list the open ones', { isDefault: true }).option('--all', 'the resolved ones too', false)
    .action((asked: AskedOf<{ all: boolean }>) => reading(asked, (books) => listExceptions(books, { all: asked.all, now: now() })))
  command(exceptions, 'show', 'everything about one, and what can be done').argument('<id>', 'its number in the list', exceptionId)
    .action((id: number, asked: Asked) => reading(asked, (books) => showException(books, { id, now: now() })))
  command(exceptions, 'resolve', 'close one, saying what was done about it').argument('<id>', 'its number in the list', exceptionId)
    .requiredOption('--note <text>', 'what was done, for whoever reads it later', noteText)
    .addOption(new Option('--decision <what>', 'on money that is held: it is ours after all, or the customer has it by other means')
      .choices(['kept', 'returned', 'none'] satisfies Resolution['decision'][]).default('none'))
    .action((id: number, { note, decision, ...asked }: AskedOf<Pick<Resolution, 'note' | 'decision'>>) =>
      writing(asked, (store) => resolveException(store, { id, note, decision, now: now() })))

  command(program, 'sale', 'tell the whole story of a sale')
    .argument('<ref>', 'six characters as on the panel, or the id of a sale or a charge')
    .action((ref: string, asked: Asked) => reading(asked, (books) => tellSale(books, ref)))

  const ledger = program.command('ledger').description('the books')
  const verify = ledger.command('verify').description('check the chain, sums, balances and day closes; changes nothing')
    .option('--config <file>', 'gateway.json').option('--database <file>', 'a copy, instead of the database of a configuration')
    .option('--json', 'answer for a machine', false)
    .action(async ({ config, database, json }: { config?: string; database?: string; json: boolean }) => {
      const file = database ?? (config === undefined ? undefined : await databaseOf(config))
      if (file === undefined) verify.error("error: one of the options '--config <file>' and '--database <file>' must be given")
      else await answer(file, json, readStore, tellVerification)
    })
  command(ledger, 'close', 'close a day that is over, and print its slips').addOption(dayOption())
    .action(({ day, ...asked }: AskedOf<{ day?: DayIn }>) => writing(asked, (store) => closeTheDay(store, { day, now: now() })))

  command(program, 'reconcile', 'compare a day of the ledger with the payment API').addOption(dayOption())
    .action(async ({ config: file, json, day = yesterday(now()) }: AskedOf<{ day?: DayIn }>) => {
      const { database, secretKey, omise: { apiUrl, timeoutMs, documentHosts } } = await configOf(file)
      const omise = createOmise({ apiUrl, secretKey, timeoutMs, documentHosts, log: createLog('silent') })
      await answer(database, json, readStore, async (books) =>
        tellReconciliation(await readAndReconcile({ omise, books, day, now: now() }), day))
    })
}

const command = (under: Command, name: string, description: string, how: CommandOptions = {}): Command => under.command(name, how)
  .description(description).requiredOption('--config <file>', 'gateway.json').option('--json', 'answer for a machine', false)

async function answer<Opened extends Books>(
  database: string, json: boolean, open: (file: string) => Promise<Opened>, question: (books: Opened) => Promise<Answer>,
): Promise<void> {
  if (!existsSync(database)) throw new Error(`there is no database ${database}: a gateway makes it when it first runs`)
  const books = await open(database)
  try {
    const { text, json: value, note, ok } = await question(books)
    process.stdout.write(`${json ? JSON.stringify(value, undefined, 2) : text}\n`)
    if (note !== undefined) process.stderr.write(`${note}\n`)
    if (!ok) process.exitCode = 1
  } finally {
    await books.close()
  }
}

const dayOption = (): Option =>
  new Option('--day <YYYY-MM-DD>', 'in the time of the currency\'s country; yesterday, unless given').argParser(dayIn)

function dayIn(text: string): DayIn {
  if (!isDay(text)) throw new InvalidArgumentError('It must be a day, such as 2026-03-01.')
  return theDay(text)
}

function exceptionId(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('It must be the number of an exception.')
  return Number(text)
}

function noteText(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must say something.')
  return text.trim()
}
