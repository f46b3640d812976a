// Few rules, each for a mistake that costs money or sleep. Layout is a matter of taste and of review, not of a rule.
// Exceptions are made here, where everybody sees them: comments in the code cannot switch a rule off.
import tseslint from 'typescript-eslint'

/** Here time, chance and the world come in as arguments. test/house-rules.ts knows the same files, and what they import. */
const pureFiles = [
  'device/protocol/*.ts',
  'device/sale.ts',
  'device/view.ts',
  'device/words.ts',
  'drivers/ecr/line.ts',
  'drivers/keypad/debounce.ts',
  'drivers/keypad/hid-report.ts',
  'drivers/keypad/key-guard.ts',
  'drivers/keypad/matrix.ts',
  'drivers/lamps/patterns.ts',
  'drivers/panel/eink-chip.ts',
  'drivers/panel/ssd16xx.ts',
  'drivers/panel/uc81xx.ts',
  'cloud/charge.ts',
  'cloud/plain-text.ts',
  'cloud/reconciliation.ts',
  'cloud/reversal.ts',
  'cloud/ledger.ts',
]

export default tseslint.config(
  { ignores: ['dist/', 'out/', 'coverage/'] },
  { linterOptions: { noInlineConfig: true } },
  {
    files: ['**/*.ts', '**/*.js'],
    rules: {
      // `==` turns '0' into 0; only `== null` says what it means (null or undefined).
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'prefer-const': 'error',
      // The log is structured (pino) and redacts secrets; the console does neither.
      'no-console': 'error',
    },
  },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      // A promise nobody awaits is an error nobody sees. `void promise` says that it is meant.
      '@typescript-eslint/no-floating-promises': 'error',
      // `if (promise)` is always true, and a caller that expects nothing back drops the rejection.
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      // A new state or event must be decided upon in every switch. A default would hide it.
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      // Only an Error has a stack and a cause.
      '@typescript-eslint/only-throw-error': 'error',
      // A type costs nothing at run time, so it may be imported where a value may not.
      '@typescript-eslint/consistent-type-imports': ['error', {
        fixStyle: 'inline-type-imports', disallowTypeAnnotations: false,
      }],
      // The five ways in which `any` spreads. What came from outside is parsed once, at the edge, and typed from then on.
      '@typescript-eslint/no-unsafe-assignment': 'error',
      '@typescript-eslint/no-unsafe-member-access': 'error',
      '@typescript-eslint/no-unsafe-call': 'error',
      '@typescript-eslint/no-unsafe-return': 'error',
      '@typescript-eslint/no-unsafe-argument': 'error',
    },
  },
  {
    files: pureFiles,
    rules: {
      'no-restricted-globals': ['error',
        ...[
          'process', 'setTimeout', 'setInterval', 'setImmediate', 'performance', 'crypto', 'fetch', 'require', 'globalThis',
        ].map((name) => ({ name, message: 'A pure file gets time, chance and the world as arguments.' })),
      ],
      'no-restricted-syntax': ['error',
        { selector: 'MemberExpression[object.name="Date"][property.name="now"]', message: 'A pure file is told the time.' },
        { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: 'A pure file is told the time.' },
        { selector: 'CallExpression[callee.name="Date"]', message: 'A pure file is told the time.' },
        { selector: 'MemberExpression[object.name="Math"][property.name="random"]', message: 'A pure file rolls no dice.' },
      ],
      'no-restricted-imports': ['error', {
        patterns: [
          { regex: '^node:(?!crypto$)', message: 'A pure file does no I/O.' },
          { regex: '^node:crypto$', allowImportNames: ['createHash'], message: 'A pure file may hash, not roll dice.' },
        ],
      }],
    },
  },
  {
    // Programs that speak to a person, on the terminal they were started from; the page that runs in a browser.
    files: ['**/main.ts', 'scripts/**', 'test/**'],
    rules: { 'no-console': 'off' },
  },
  {
    // A test knows what it has just put there, and what a reply must look like; the failure is a red test.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
    },
  },
)
