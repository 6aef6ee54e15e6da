/* The native engine: frames of several utterances in step, on one core, without Python.
 *
 * The model is `TwoTier` (tts/models/two_tier.py) with adaptive prediction (tts/models/prediction.py): before each frame
 * an analysis of the past (linear prediction, pitch lag); an LSTM that takes a step a frame (the frame tier); and a
 * multilayer perceptron that takes a step a sample (the sample tier) and gives a mixture of logistics around the
 * prediction, from which a code is drawn. The two tiers compute with rounded numbers:
 *
 * - A weight matrix W (outputs x inputs) is w[o][i] = scale[o] x q[o][i], q an integer in [-127, 127]; where W
 *   multiplies past samples in the sample tier, one of at most max(127, min(2047, (2^24 - 1) / (H Q / 2))).
 * - What it multiplies is x[i] = step x a[i], a an int16 of at most A(n) = min(32767, (2^31 - 1) / (127 n)) for n
 *   inputs, so that  sum_i q[o][i] a[i]  is exact in int32, in whatever order it is taken.
 * - y[o] = start[o] + float(sum) x (scale[o] x step), float32, each operation rounded by itself (no fused
 *   multiply-add: compile with -ffp-contract=off).
 *
 * How x is rounded (`tts/generation/rounding.py` does the same with numpy and torch):
 *
 * - states of the LSTM: a = round(x B), step = 1 / B, B at most A / (the largest |x|: 1, or more where a learned
 *   initial state lies outside of [-1, 1]). The rounded state is the state: all that reads it, reads a.
 * - embeddings of units, in [-1, 1]: a = round(x A), step = 1 / A.
 * - codes, as inputs: a = code - Q/2, step = 2/Q; exact.
 * - with a rank, the features of the upsampling: a = round(x (A / m)), step = m / A, m the largest |x| of the vector
 *   (at least 1e-30; |x| at most 1e30); outputs of a ReLU likewise, with 127 for A.
 *   "round": to the nearest, ties to even.
 *
 * What is not a product with a rounded matrix is float32 in one order, whatever the width of the processor's vectors: 16
 * lanes, and their sums by a fixed tree; products with analysis and residuals in the order of these. The analysis, the
 * prediction and the drawn value are float64: correlations are summed in the order of time, a prediction from its oldest
 * sample on, other sums in 8 lanes and by the tree; square root and division round correctly, the logarithm is ours.
 * So the same weights, texts and seeds give the same codes on every machine.
 *
 * Letters: F frame_size, H history, D the frame tier's width, G = 4 D its gates, S the sample tier's width, Q codes,
 * r rank, K components of the mixture, J residuals. A width with a + is padded with zeros.
 *
 * This file is compiled once for each instruction set, with ENGINE_ISA its name, and once without, which gives
 * `engine_isa()`, the best of them for this processor. EXPORT, too, is set by scripts/build_engine.py.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef ENGINE_ISA
#if defined(__x86_64__)
#include <cpuid.h>

static int bit(unsigned word, int k) { return word >> k & 1; }

/* The best of the instruction sets that were compiled; "" where the processor has none of them. */
EXPORT const char *engine_isa(void)
{
    unsigned a, b, c, d, b7 = 0, c1, c81 = 0, saved = 0, high;
    if (!__get_cpuid(1, &a, &b, &c1, &d) || !bit(c1, 9) || !bit(c1, 19) || !bit(c1, 20) || !bit(c1, 23)) return "";
    if (bit(c1, 27)) __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0)); /* what the system saves of registers */
    if (__get_cpuid_max(0, 0) >= 7) __cpuid_count(7, 0, a, b7, c, d);
    __get_cpuid(0x80000001, &a, &b, &c81, &d);
    int v3 = (saved & 6) == 6 && bit(b7, 5) && bit(b7, 3) && bit(b7, 8); /* AVX2, BMI1, BMI2 */
    v3 = v3 && bit(c1, 12) && bit(c1, 29) && bit(c1, 22) && bit(c81, 5); /* FMA, F16C, MOVBE, LZCNT */
    int v4 = v3 && (saved & 0xe6) == 0xe6 && bit(b7, 16) && bit(b7, 17) && bit(b7, 28) && bit(b7, 30) && bit(b7, 31);
    return v4 ? "v4" : v3 ? "v3" : "v2";
}
#else
EXPORT const char *engine_isa(void) { return "neon"; }
#endif
#else /* ENGINE_ISA */

#define JOIN_(name, isa) name##_##isa
#define JOIN(name, isa) JOIN_(name, isa)
#define NAME(name) JOIN(name, ENGINE_ISA)
#define INLINE static inline __attribute__((always_inline))

/* ---- Vectors of 16 lanes, of whatever registers the processor has ---------------------------------------------- */

enum { LANES = 16 };
typedef float floats __attribute__((ext_vector_type(16)));
typedef int16_t shorts16 __attribute__((ext_vector_type(16)));
typedef int16_t shorts __attribute__((ext_vector_type(32)));
typedef int8_t bytes __attribute__((ext_vector_type(64)));
typedef uint16_t ushorts __attribute__((ext_vector_type(32)));
typedef int32_t ints __attribute__((ext_vector_type(16)));
typedef uint32_t sums __attribute__((ext_vector_type(16))); /* unsigned: they may wrap on the way to one that fits */

/* What lies anywhere, as a type; and back. */
#define READ(type, from) ({ type v_; memcpy(&v_, from, sizeof v_); v_; })
#define WRITE(to, type, value) ({ type v_ = value; memcpy(to, &v_, sizeof v_); })
INLINE floats load(const float *from) { return READ(floats, from); }
INLINE void store(float *to, floats v) { WRITE(to, floats, v); }
INLINE floats to_floats(sums v) { return __builtin_convertvector((ints)v, floats); }
INLINE floats choose(ints mask, floats yes, floats no) { return (floats)(((ints)yes & mask) | ((ints)no & ~mask)); }
INLINE floats larger(floats a, floats b) { return choose(a > b, a, b); }  /* b where one is not a number */
INLINE floats smaller(floats a, floats b) { return choose(a < b, a, b); }

INLINE float highest(floats v)
{
    v = larger(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    v = larger(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
    v = larger(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1));
    v = larger(v, __builtin_shufflevector(v, v, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0));
    return v[0];
}

/* Lane k with the sum of the lanes up to k, by doubling: the fixed tree of every float sum here. */
INLINE floats running(floats v)
{
    const floats zero = 0.0f;
    v += __builtin_shufflevector(zero, v, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
    v += __builtin_shufflevector(zero, v, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
    v += __builtin_shufflevector(zero, v, 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27);
    v += __builtin_shufflevector(zero, v, 0, 0, 0, 0, 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23);
    return v;
}

/* 1.5 x 2^23: a float32 near it has a unit of 1, so adding it rounds to the nearest integer, ties to even. */
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4B400000
#define DOUBLE_ROUNDER 6755399441055744.0 /* 1.5 x 2^52, likewise */
INLINE ints rounded(floats x) { return (ints)(x + ROUNDER) - ROUNDER_BITS; } /* |x| < 2^22 */

/* 2^y, relative error below 2.5e-7; y is kept within [-126, 126]. */
INLINE floats two_to(floats y)
{
    y = smaller(larger(y, (floats)-126.0f), (floats)126.0f);
    floats shifted = y + ROUNDER;
    floats f = y - (shifted - ROUNDER); /* in [-1/2, 1/2] */
    floats p = 0.0013266970636323094f; /* least relative error of degree 5, 8e-8 */
    p = p * f + 0.009675459936261177f;
    p = p * f + 0.05550742521882057f;
    p = p * f + 0.24022121727466583f;
    p = p * f + 0.6931469440460205f;
    p = p * f + 1.0000001192092896f;
    return p * (floats)(((ints)shifted - ROUNDER_BITS + 127) << 23);
}

typedef double doubles __attribute__((ext_vector_type(8)));
typedef int64_t longs __attribute__((ext_vector_type(8)));
typedef float floats8 __attribute__((ext_vector_type(8)));
enum { DOUBLES = 8 };
INLINE doubles loads(const double *from) { return READ(doubles, from); }
INLINE void stores(double *to, doubles v) { WRITE(to, doubles, v); }
INLINE doubles chosen(longs m, doubles yes, doubles no) { return (doubles)(((longs)yes & m) | ((longs)no & ~m)); }
INLINE doubles clamped(doubles v, double most) { return chosen(v < -most, -most, chosen(v > most, most, v)); }

/* Lane k with the sum of the lanes up to k, as `running`. */
INLINE doubles running_doubles(doubles v)
{
    const doubles zero = 0.0;
    v += __builtin_shufflevector(zero, v, 0, 8, 9, 10, 11, 12, 13, 14);
    v += __builtin_shufflevector(zero, v, 0, 0, 8, 9, 10, 11, 12, 13);
    v += __builtin_shufflevector(zero, v, 0, 0, 0, 0, 8, 9, 10, 11);
    return v;
}

/* The natural logarithm of a positive normal number, error below 1e-14 of it or of 1: its mantissa m lies in
 * [sqrt(1/2), sqrt(2)), and ln m = 2 atanh(r) = 2 (r + r^3 / 3 + …) with r = (m - 1) / (m + 1). */
static double logarithm(double x)
{
    const uint64_t bits = READ(uint64_t, &x);
    const int64_t exponent = (int64_t)(bits - 0x3FE6A09E667F3BCD) >> 52;
    const uint64_t rest = bits - ((uint64_t)exponent << 52);
    const double m = READ(double, &rest), r = (m - 1) / (m + 1), q = r * r, q2 = q * q, q4 = q2 * q2;
    const double low = (1 + q / 3) + (1.0 / 5 + q * (1.0 / 7)) * q2;
    const double high = (1.0 / 9 + q * (1.0 / 11)) + (1.0 / 13 + q * (1.0 / 15)) * q2 + q4 * (1.0 / 17);
    return (double)exponent * 0.6931471805599453 + 2 * r * (low + high * q4);
}

#define LOG2_E 1.4426950408889634f
INLINE floats sigmoid(floats x) { return 1.0f / (1.0f + two_to(x * -LOG2_E)); }
INLINE floats hyperbolic_tangent(floats x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; } /* absolute error below 2.5e-7 */

/* Two instructions that the extensions have no word for, on vectors as wide as the processor's. TOGETHER: how many
 * vectors of inputs share a weight that is in a register, as many as leave room for their sums. */
#if defined(__AVX512BW__)
enum { WIDTH = 64, TOGETHER = 8 };
#define ADD_PAIRS __builtin_ia32_pmaddwd512
#define ADD_PAIRS_OF_BYTES __builtin_ia32_pmaddubsw512
#elif defined(__AVX2__)
enum { WIDTH = 32, TOGETHER = 2 };
#define ADD_PAIRS __builtin_ia32_pmaddwd256
#define ADD_PAIRS_OF_BYTES __builtin_ia32_pmaddubsw256
#elif defined(__SSSE3__)
enum { WIDTH = 16, TOGETHER = 2 };
#define ADD_PAIRS __builtin_ia32_pmaddwd128
#define ADD_PAIRS_OF_BYTES __builtin_ia32_pmaddubsw128
#else
enum { WIDTH = 16, TOGETHER = 2 };
#endif
typedef short part __attribute__((vector_size(WIDTH)));
typedef char part_of_bytes __attribute__((vector_size(WIDTH)));

/* a[2k] b[2k] + a[2k + 1] b[2k + 1], exact in int32. */
INLINE sums sums_of_pairs(shorts a, shorts b)
{
#if defined(ADD_PAIRS)
    sums all;
#pragma clang loop unroll(full)
    for (int k = 0; k < 64; k += WIDTH)
        WRITE((char *)&all + k, part, (part)ADD_PAIRS(READ(part, (char *)&a + k), READ(part, (char *)&b + k)));
    return all;
#else
    return (sums)(__builtin_convertvector(a.even, ints) * __builtin_convertvector(b.even, ints) +
                  __builtin_convertvector(a.odd, ints) * __builtin_convertvector(b.odd, ints));
#endif
}

/* w[4k] x0 + … + w[4k + 3] x3, exact: the x are the bytes of `four`, at most 127, so that two products fit in int16. */
INLINE sums sums_of_fours(bytes w, uint32_t four)
{
    shorts twos, ones = 1;
#if defined(ADD_PAIRS)
    const sums spread = four;
#pragma clang loop unroll(full)
    for (int k = 0; k < 64; k += WIDTH) {
        part_of_bytes x = READ(part_of_bytes, (char *)&spread + k), y = READ(part_of_bytes, (char *)&w + k);
        WRITE((char *)&twos + k, part, (part)ADD_PAIRS_OF_BYTES(x, y));
    }
#else
    typedef int16_t halves __attribute__((ext_vector_type(64)));
    halves products = __builtin_convertvector(w, halves) * __builtin_convertvector((bytes)(sums)four, halves);
    twos = products.even + products.odd;
#endif
    return sums_of_pairs(twos, ones);
}

/* ---- The model, as tts/generation/native/layout.py packs it ---------------------------------------------------- */

/* The config's numbers, and what follows from them about rounding. */
typedef struct {
    int32_t codes, frame, history, n_rnn, dim, sample_dim, hidden_layers, rank, unit_dim, text_dim;
    int32_t n_speakers, clock_frames, explicit_durations, state_limit; /* the last one: B */
    int32_t lpc_order, lpc_window, pitch_window, shortest_lag, longest_lag, pitch_taps, residual_taps, components;
} Shape;

/* A matrix, in one of three layouts.
 *
 * PANELS: int8 + 128. For each PANEL of outputs and each pair of inputs (0, 1), 64 bytes: outputs 0 to 15 and 16 to
 * 31 as the low and high halves of 16-bit words, (output 0, input 0), (output 0, input 1), (output 1, input 0) …
 * A mask and a shift make int16 of them, where a sign extension takes twice as long. */
enum { MOST_ORDER = 128, MOST_COMPONENTS = 64, MOST_INPUTS = 128 + 33 + 2 };
enum { PANEL = 32, BLOCK = 64, MAX_LAYERS = 16 }; /* all widths of outputs are multiples of BLOCK */
typedef struct {
    int pairs, outputs;      /* outputs+, a multiple of BLOCK */
    const float *scale;      /* (outputs+) */
    const void *weights;
} Table;

/* WIDE: a matrix of int16, for each BLOCK of outputs and each pair of inputs their weights (output 0, input 0), (output
 * 0, input 1), (output 1, input 0) …: small ones, read for several places of a frame at a time.
 *
 * ROWS: an int8 matrix as rows of the outputs' weights, one for each input, and a row of zeros. Byte 16 L + 4 m + t of a
 * BLOCK belongs to output 16 m + 4 L + t, so that outputs come out in order. */
typedef enum { PANELS, WIDE, ROWS } Kind;

typedef struct {
    Shape shape;
    int D, G, S, K, T, R; /* dim+, gates, sample_dim+, components+, text_dim+, rank+ (0: none) */
    int P, waves, residuals; /* codes, samples, residuals kept before a frame */
    int J, half;             /* residuals as inputs; see `edges` */
    float state_limit, text_limit, rank_limit, code_step, state_step; /* B, A(2 text_dim), A(rank) */
    const float *unit, *unit_bias;        /* (unit_dim, T+), (T+) */
    const int16_t *end;                   /* (T+): the embedding after the last unit, rounded */
    const float *speaker;                 /* (n_speakers, G+): the first layer's bias, and what a speaker adds to it */
    Table context;                        /* embeddings of this unit and the next, T+ each, to gates */
    const float *clock, *left;            /* (clock_frames, G+): frames since the unit began; frames left */
    const float *gate_bias[MAX_LAYERS];   /* (G+), of the layers above the first */
    const float *c0[MAX_LAYERS];          /* (D+) */
    const int16_t *h0[MAX_LAYERS];        /* (D+) */
    const double *window;                 /* (lpc_window+) */
    const float *lag;                     /* (lags): what the frame tier has of a lag */
    const float *analysis;                /* (3, G+): what the analysis adds to the gates */
    Table frames, inputs[MAX_LAYERS], recurrent[MAX_LAYERS]; /* previous frame; layer below; own state */
    const float *advance, *advance_bias;  /* (D+), (1); implicit durations alone */
    const float *upsample_bias;           /* (F R+ or F S+, +) */
    Table upsample;                       /* states to places; PANELS, as those before */
    const float *filter_bias;             /* (J+) */
    Table filter;                         /* states to the filter of the residuals; PANELS */
    Table widen, samples;                 /* WIDE: a place's features to S; past samples to S */
    const float *residual_in;             /* (J + 2, S+): what residuals and prediction add */
    const float *last;                    /* (Q, S+): what the last code adds */
    const float *hidden_bias[MAX_LAYERS]; /* (S+) */
    Table hidden[MAX_LAYERS];             /* ROWS */
    const float *output_bias;             /* (3 K+, +): log weights, places, log scales */
    Table output;                         /* ROWS */
    const double *edges, *values;         /* (2 half - 1) between codes, infinite from Q - 1 on; (Q) samples of codes */
    double log_codes;                     /* ln Q */
} Model;

static int padded(int width, int to) { return (width + to - 1) / to * to; }
static int within(int value, int least, int most) { return least <= value && value <= most; }
static int lesser(int a, int b) { return a < b ? a : b; }
static int greater(int a, int b) { return a > b ? a : b; }
static float limit_of(int inputs) { return (float)lesser(32767, INT32_MAX / (127 * inputs)); } /* A(n) */

/* A walk along the packed weights; `at` goes past `size` where they are too few. */
typedef struct { const uint8_t *begin; size_t at, size; } Walk;

static const void *take(Walk *walk, size_t count, size_t width)
{
    const void *here = walk->begin + walk->at;
    walk->at += (count * width + 63) / 64 * 64;
    return walk->at <= walk->size ? here : walk->begin;
}

static const float *take_floats(Walk *walk, size_t count) { return take(walk, count, sizeof(float)); }
static const double *take_doubles(Walk *walk, size_t count) { return take(walk, count, sizeof(double)); }

static Table take_table(Walk *walk, Kind kind, int inputs, int outputs)
{
    Table table = {inputs / 2, outputs, take_floats(walk, outputs), NULL};
    table.weights = take(walk, (size_t)(kind == ROWS ? inputs + 1 : inputs) * outputs, kind == WIDE ? 2 : 1);
    return table;
}

/* Fill in a model; false if the shape is none, or the weights are not as many as it says. */
static int open_model(Model *m, const Shape *shape, const void *weights, size_t size)
{
    const Shape s = *shape;
    enum { widest = 1 << 16 };
    static const int32_t bounds[][2] = { /* of the shape's numbers, in their order */
        {4, 1 << 15}, {1, widest}, {1, widest}, {1, MAX_LAYERS}, {1, widest}, {1, 1 << 15}, {0, MAX_LAYERS}, {0, widest},
        {1, 1 << 20}, {1, widest}, {1, 1 << 24}, {1, 1 << 24}, {0, 1}, {1, 32767},
        {1, MOST_ORDER}, {1, 8192}, {1, 8192}, {1, 4096}, {1, 4096}, {0, 16}, {1, 128}, {1, MOST_COMPONENTS}};
    for (size_t k = 0; k < sizeof s / sizeof(int32_t); k++)
        if (!within(READ(int32_t, (const char *)shape + k * sizeof(int32_t)), bounds[k][0], bounds[k][1])) return 0;
    if (s.pitch_taps >= s.shortest_lag || s.shortest_lag > s.longest_lag || s.lpc_order >= s.lpc_window) return 0;
    if ((int64_t)127 * (s.codes / 2) * greater(s.history, s.frame) > INT32_MAX) return 0;
    m->shape = s;
    m->D = padded(s.dim, 16), m->G = 4 * m->D, m->S = padded(s.sample_dim, BLOCK), m->K = padded(s.components, 16);
    m->T = padded(s.text_dim, BLOCK), m->R = s.rank ? padded(s.rank, 16) : 0;
    int history = padded(s.history, 2), frame = padded(s.frame, 2);
    m->P = greater(history, frame), m->waves = greater(s.lpc_window, s.lpc_order);
    m->residuals = greater(s.longest_lag + greater(s.pitch_window, s.pitch_taps), s.residual_taps);
    m->J = s.residual_taps + 2 * s.pitch_taps + 1;
    for (m->half = 1; 2 * m->half < s.codes;) m->half *= 2;
    m->log_codes = logarithm(s.codes);
    m->state_limit = (float)s.state_limit, m->state_step = 1.0f / m->state_limit;
    m->text_limit = limit_of(2 * s.text_dim), m->rank_limit = s.rank ? limit_of(s.rank) : 1;
    m->code_step = 1.0f / (float)(s.codes / 2);
    Walk walk = {weights, 0, size};
    size_t G = m->G;
    m->unit = take_floats(&walk, (size_t)s.unit_dim * m->T);
    m->unit_bias = take_floats(&walk, m->T);
    m->end = take(&walk, m->T, sizeof(int16_t));
    m->speaker = take_floats(&walk, s.n_speakers * G);
    m->context = take_table(&walk, PANELS, 2 * m->T, m->G);
    m->clock = take_floats(&walk, s.clock_frames * G);
    m->left = take_floats(&walk, s.explicit_durations ? s.clock_frames * G : 0);
    m->window = take_doubles(&walk, padded(s.lpc_window, DOUBLES));
    m->lag = take_floats(&walk, s.longest_lag - s.shortest_lag + 1);
    m->analysis = take_floats(&walk, 3 * G);
    m->frames = take_table(&walk, PANELS, frame, m->G);
    for (int k = 0; k < s.n_rnn; k++) {
        if (k) {
            m->gate_bias[k] = take_floats(&walk, G);
            m->inputs[k] = take_table(&walk, PANELS, m->D, m->G);
        }
        m->recurrent[k] = take_table(&walk, PANELS, m->D, m->G);
        m->c0[k] = take_floats(&walk, m->D);
        m->h0[k] = take(&walk, m->D, sizeof(int16_t));
    }
    m->advance = take_floats(&walk, s.explicit_durations ? 0 : m->D);
    m->advance_bias = take_floats(&walk, s.explicit_durations ? 0 : 1);
    int conditioning = padded(s.frame * (m->R ? m->R : m->S), BLOCK);
    m->upsample_bias = take_floats(&walk, conditioning);
    m->upsample = take_table(&walk, PANELS, m->D, conditioning);
    int filter = padded(m->J, BLOCK), outputs = padded(3 * m->K, BLOCK);
    m->filter_bias = take_floats(&walk, filter);
    m->filter = take_table(&walk, PANELS, m->D, filter);
    if (m->R) m->widen = take_table(&walk, WIDE, m->R, m->S);
    m->residual_in = take_floats(&walk, (size_t)(m->J + 2) * m->S);
    m->samples = take_table(&walk, WIDE, history, m->S);
    m->last = take_floats(&walk, (size_t)s.codes * m->S);
    for (int k = 0; k < s.hidden_layers; k++) {
        m->hidden_bias[k] = take_floats(&walk, m->S);
        m->hidden[k] = take_table(&walk, ROWS, m->S, m->S);
    }
    m->output_bias = take_floats(&walk, outputs);
    m->output = take_table(&walk, ROWS, m->S, outputs);
    m->edges = take_doubles(&walk, 2 * m->half - 1);
    m->values = take_doubles(&walk, s.codes);
    return walk.at == size;
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* Two int16 inputs, in every pair of lanes. */
INLINE shorts pair_of(const int16_t *x) { return (shorts)(ints)READ(int32_t, x); }

/* -128 x the sum of a vector's inputs, where every sum of products begins: weights are stored + 128. */
INLINE uint32_t origin_of(const int16_t *x, int pairs)
{
    uint32_t sum = 0;
    for (int k = 0; k < 2 * pairs; k++) sum += (uint32_t)(int32_t)x[k];
    return 0u - 128u * sum;
}

/* y = start + W x, of one vector: x is `step` times integers. */
typedef struct {
    float *y;
    const float *start;
    const int16_t *x;
    float step;
    uint32_t origin; /* set by `multiply` */
} Job;

/* y = start + float(sum) x (scale x step), for the outputs of a panel and `n` vectors of inputs. */
INLINE void multiply_panel(const Table *t, int at, const Job *jobs, const int n)
{
    const uint8_t *words = (const uint8_t *)t->weights + (ptrdiff_t)at * t->pairs * 2;
    sums low[TOGETHER], high[TOGETHER];
#pragma clang loop unroll(full)
    for (int j = 0; j < n; j++) low[j] = high[j] = jobs[j].origin;
#pragma clang loop unroll_count(2)
    for (int k = 0; k < t->pairs; k++, words += 2 * PANEL) {
        ushorts both = READ(ushorts, words);
        shorts even = (shorts)(both & 255), odd = (shorts)(both >> 8);
#pragma clang loop unroll(full)
        for (int j = 0; j < n; j++) {
            shorts pair = pair_of(jobs[j].x + 2 * k);
            low[j] += sums_of_pairs(even, pair);
            high[j] += sums_of_pairs(odd, pair);
        }
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < n; j++) {
        float *y = jobs[j].y + at;
        const float *start = jobs[j].start + at, *scale = t->scale + at;
        store(y, load(start) + to_floats(low[j]) * (load(scale) * jobs[j].step));
        store(y + LANES, load(start + LANES) + to_floats(high[j]) * (load(scale + LANES) * jobs[j].step));
    }
}

/* All jobs with one matrix: a panel of weights is read once for all of them. */
static void multiply(const Table *t, Job *jobs, int n)
{
    for (int j = 0; j < n; j++) jobs[j].origin = origin_of(jobs[j].x, t->pairs);
    for (int at = 0; at < t->outputs; at += PANEL) {
        int j = 0;
        for (; j + TOGETHER <= n; j += TOGETHER) multiply_panel(t, at, jobs + j, TOGETHER);
        for (; j < n; j++) multiply_panel(t, at, jobs + j, 1);
    }
}

/* totals[j][v] += sum over the pairs of inputs `first` to `last` of x[j], for `n` vectors of inputs and 16 x `vectors` of
 * outputs. */
INLINE void add_wide(sums *totals, const int n, const int vectors, const int16_t *weights, const int16_t *const *x,
                     int first, int last)
{
    for (int k = first; k < last; k++) {
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            shorts w = READ(shorts, weights + (ptrdiff_t)k * (2 * BLOCK) + 2 * LANES * v);
#pragma clang loop unroll(full)
            for (int j = 0; j < n; j++) totals[j * vectors + v] += sums_of_pairs(w, pair_of(x[j] + 2 * k));
        }
    }
}

/* out[f] (outputs+) = sums of W x[f], x[f] being F vectors of inputs `stride` apart of which ever fewer count: those of
 * place f end `shrink` x f before the others. */
static void sum_places(int32_t *out, const Table *t, const int16_t *x, int stride, int shrink, int F)
{
    enum { PLACES = 4 };
    for (int at = 0; at < t->outputs; at += LANES) {
        const int16_t *weights = (const int16_t *)t->weights + ((ptrdiff_t)(at - at % BLOCK) * t->pairs + at % BLOCK) * 2;
        for (int f = 0; f < F; f += PLACES) {
            const int16_t *inputs[PLACES];
            sums totals[PLACES] = {0};
            for (int j = 0; j < PLACES; j++) inputs[j] = x + (ptrdiff_t)stride * (f + j < F ? f + j : f);
            add_wide(totals, PLACES, 1, weights, inputs, 0, t->pairs - shrink * f / 2);
            for (int j = 0; j < PLACES && f + j < F; j++) WRITE(out + (ptrdiff_t)(f + j) * t->outputs + at, sums, totals[j]);
        }
    }
}

/* The outputs of a ReLU that are above 0, by fours; those that are missing to a whole four are 0, of the row of zeros. */
typedef struct {
    int count, fours;
    float step;
    uint16_t *list;          /* (S+ + 8) which they are */
    uint32_t *values;        /* (S+ / 4 + 1) four bytes each */
    uint8_t *rounded;        /* (S+) all outputs */
    uint16_t places[256][8]; /* which bits of a byte are set */
} Active;

/* The halves, low and high, of each 16 lanes of a and b, alternately: [a0 b0 a1 b1 …]; of bytes, and of their pairs. */
#define EACH16(f) f(0), f(16), f(32), f(48)
#define LOW8(k) k, 64 + k, k + 1, 65 + k, k + 2, 66 + k, k + 3, 67 + k, k + 4, 68 + k, k + 5, 69 + k, k + 6, 70 + k, k + 7, 71 + k
#define HIGH8(k) LOW8(k + 8)
#define LOW4(k) k, k + 1, 64 + k, 65 + k, k + 2, k + 3, 66 + k, 67 + k, k + 4, k + 5, 68 + k, 69 + k, k + 6, k + 7, 70 + k, 71 + k
#define HIGH4(k) LOW4(k + 8)

/* y = start + W x, for the units that are above 0: their rows, four at a time, interleaved to fours of bytes. */
static void multiply_rows(float *y, const float *start, const Table *t, const Active *active)
{
    for (int at = 0; at < t->outputs; at += BLOCK) {
        const int8_t *block = (const int8_t *)t->weights + at;
        const size_t stride = t->outputs;
        sums totals[4] = {0};
        for (int k = 0; k < active->fours; k++) {
            const uint16_t *unit = active->list + 4 * k;
            bytes a = READ(bytes, block + unit[0] * stride), b = READ(bytes, block + unit[1] * stride);
            bytes c = READ(bytes, block + unit[2] * stride), d = READ(bytes, block + unit[3] * stride);
            bytes ab = __builtin_shufflevector(a, b, EACH16(LOW8)), cd = __builtin_shufflevector(c, d, EACH16(LOW8));
            totals[0] += sums_of_fours(__builtin_shufflevector(ab, cd, EACH16(LOW4)), active->values[k]);
            totals[1] += sums_of_fours(__builtin_shufflevector(ab, cd, EACH16(HIGH4)), active->values[k]);
            ab = __builtin_shufflevector(a, b, EACH16(HIGH8)), cd = __builtin_shufflevector(c, d, EACH16(HIGH8));
            totals[2] += sums_of_fours(__builtin_shufflevector(ab, cd, EACH16(LOW4)), active->values[k]);
            totals[3] += sums_of_fours(__builtin_shufflevector(ab, cd, EACH16(HIGH4)), active->values[k]);
        }
#pragma clang loop unroll(full)
        for (int v = 0; v < 4; v++) {
            int o = at + LANES * v;
            store(y + o, load(start + o) + to_floats(totals[v]) * (load(t->scale + o) * active->step));
        }
    }
}

/* y = start + sum over rows, in their order, of x[k] x row k; float32, `width` a multiple of BLOCK. */
static void add_rows(float *y, const float *start, const float *rows, const float *x, int count, int width)
{
    for (int at = 0; at < width; at += BLOCK) {
        floats sum[BLOCK / LANES];
        memcpy(sum, start + at, sizeof sum);
        for (int k = 0; k < count; k++)
#pragma clang loop unroll(full)
            for (int v = 0; v < BLOCK / LANES; v++) sum[v] += x[k] * load(rows + (size_t)k * width + at + LANES * v);
        memcpy(y + at, sum, sizeof sum);
    }
}

/* ---- Slots: utterances in the making ---------------------------------------------------------------------------- */

typedef struct {
    const float *vectors;    /* (units, unit_dim), the caller's */
    int64_t units, unit, since, unit_cap, frames, frame_cap;
    int64_t first;           /* the unit at hand when the call began */
    int64_t duration;        /* frames of this unit, where durations are explicit */
    int speaker, cut;        /* cut: the duration is the cap, not the model's */
    double temperature, spread, survival, threshold; /* implicit durations: see `is_over` */
    int code;                /* the last one */
    int16_t *past;           /* (P + F): codes - Q/2 before the frame, then the frame's */
    float *base;             /* (G): bias and context of this unit */
    int16_t *embedded;       /* (2, T): this unit, the next */
    double *wave, *residual; /* (waves + F), (residuals + F), as `past` */
    double *coefficients;    /* (lpc_order+): of the linear prediction of this frame */
    double scale;            /* of its error */
    int lag;
    float analysis[3];       /* as inputs of the frame tier */
    float *gates, *conditioning, *filter;
    int16_t *h[MAX_LAYERS];  /* (D) */
    float *c[MAX_LAYERS];    /* (D) */
} Slot;

typedef struct {
    void *memory;            /* all of the group */
    Model model;
    int count;
    Slot *slots, **live;
    Job *jobs;               /* one of each slot */
    float *normed, *embedded, *y, *outputs;
    double *windowed;        /* (lpc_window+, and as many zeros as `correlate` reads) */
    double *correlations;    /* (lags+) */
    double *squares;         /* (pitch_window + longest_lag + 1, +): running sums */
    double *ahead;           /* (F + lpc_order, +): predictions of samples, as far as they are known */
    float *ratios;           /* (residuals + F): residuals by the scale, clipped */
    float *steps;            /* (F): of the features */
    int16_t *features;       /* (F, R), rounded */
    int32_t *widened;        /* (F, S+) sums of W features */
    int32_t *older;          /* (F, S+) sums of W history, of what is older than the frame */
    int16_t *recent;         /* (H+ + F): zeros, then the frame's codes - Q/2 */
    Active active;
    int64_t positive[MAX_LAYERS + 1]; /* units above 0, by layer, summed over samples */
    int64_t samples;
} Group;

/* Memory of a group: counted at the first pass, where `base` is NULL, and given out at the second. */
typedef struct { uint8_t *base; size_t at; } Arena;

enum { LAGS = 40 }; /* that `correlate` has in registers */

static void *give(Arena *arena, size_t count, size_t width)
{
    void *here = arena->base ? arena->base + arena->at : NULL;
    arena->at += (count * width + 127) / 64 * 64; /* at least 64 bytes to spare after each: loads are 64 wide */
    return here;
}

static void give_all(Arena *arena, Group *g, const Model *m, int count)
{
    const Shape *s = &m->shape;
    int conditioning = m->upsample.outputs;
    g->slots = give(arena, count, sizeof(Slot));
    g->live = give(arena, count, sizeof(Slot *));
    g->jobs = give(arena, count, sizeof(Job));
    g->normed = give(arena, s->unit_dim, sizeof(float));
    g->embedded = give(arena, m->T, sizeof(float));
    g->widened = give(arena, m->R ? (size_t)s->frame * m->S : 0, sizeof(int32_t));
    g->older = give(arena, (size_t)s->frame * m->S, sizeof(int32_t));
    g->recent = give(arena, 2 * m->samples.pairs + s->frame, sizeof(int16_t));
    g->y = give(arena, m->S, sizeof(float));
    g->outputs = give(arena, m->output.outputs, sizeof(float));
    g->windowed = give(arena, s->lpc_window + DOUBLES + padded(s->lpc_order + 1, LAGS), sizeof(double));
    g->correlations = give(arena, padded(greater(s->longest_lag, s->lpc_order + 1), LAGS), sizeof(double));
    g->squares = give(arena, s->pitch_window + s->longest_lag + DOUBLES, sizeof(double));
    g->ahead = give(arena, s->frame + s->lpc_order + DOUBLES, sizeof(double));
    g->ratios = give(arena, m->residuals + s->frame, sizeof(float));
    g->steps = give(arena, s->frame, sizeof(float));
    g->features = give(arena, conditioning, sizeof(int16_t));
    g->active.values = give(arena, m->S / 4 + 1, sizeof(uint32_t));
    g->active.list = give(arena, m->S + 8, sizeof(uint16_t));
    g->active.rounded = give(arena, m->S, 1);
    for (int k = 0; k < count; k++) {
        Slot other, *slot = arena->base ? &g->slots[k] : &other;
        slot->past = give(arena, m->P + s->frame, sizeof(int16_t));
        slot->base = give(arena, m->G, sizeof(float));
        slot->embedded = give(arena, 2 * m->T, sizeof(int16_t));
        slot->gates = give(arena, m->G, sizeof(float));
        slot->conditioning = give(arena, conditioning, sizeof(float));
        slot->filter = give(arena, m->filter.outputs, sizeof(float));
        slot->wave = give(arena, m->waves + s->frame, sizeof(double));
        slot->residual = give(arena, m->residuals + s->frame + LAGS, sizeof(double));
        slot->coefficients = give(arena, padded(s->lpc_order, DOUBLES), sizeof(double));
        for (int layer = 0; layer < s->n_rnn; layer++) {
            slot->h[layer] = give(arena, m->D, sizeof(int16_t));
            slot->c[layer] = give(arena, m->D, sizeof(float));
        }
    }
}

static void round_to(int16_t *a, floats x, float limit)
{
    WRITE(a, shorts16, __builtin_convertvector(rounded(x * limit), shorts16));
}

/* The embedding of a vector, tanh(W layer_norm(vector) + b); the end's for NULL. */
static void embed(Group *g, int16_t *out, const float *vector)
{
    const Model *m = &g->model;
    const int n = m->shape.unit_dim;
    if (!vector) return (void)memcpy(out, m->end, m->T * sizeof(int16_t));
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < n; i++) sum += vector[i];
    float mean = (float)(sum / n);
    for (int i = 0; i < n; i++) squares += (double)(vector[i] - mean) * (double)(vector[i] - mean);
    float deviation = __builtin_sqrtf((float)(squares / n) + 1e-5f);
    for (int i = 0; i < n; i++) g->normed[i] = (vector[i] - mean) / deviation;
    add_rows(g->embedded, m->unit_bias, m->unit, g->normed, n, m->T);
    for (int at = 0; at < m->T; at += LANES)
        round_to(out + at, hyperbolic_tangent(load(g->embedded + at)), m->text_limit);
}

/* What stays the same during a unit: base = b + speaker + W [this unit, next unit]. */
static void begin_unit(Group *g, Slot *slot)
{
    const Model *m = &g->model;
    const float *vector = slot->vectors + slot->unit * m->shape.unit_dim;
    if (slot->unit) memcpy(slot->embedded, slot->embedded + m->T, m->T * sizeof(int16_t));
    else embed(g, slot->embedded, vector);
    embed(g, slot->embedded + m->T, slot->unit + 1 < slot->units ? vector + m->shape.unit_dim : NULL);
    const float *start = m->speaker + (size_t)slot->speaker * m->G;
    multiply(&m->context, &(Job){slot->base, start, slot->embedded, 1.0f / m->text_limit, 0}, 1);
}

/* ---- The analysis: linear prediction from the past (tts/models/prediction.py) ------------------------------------ */

static const double LEAST_SCALE = 3e-4, WHITE_NOISE = 3e-4, NOISE_FLOOR = 1e-7, STEPS = 65536, LARGEST_RESIDUAL = 8;

/* out[k] = sum_t x[t] y[t + k], in the order of t, for `count` k, and more, up to a multiple of LAGS. */
static void correlate(double *out, const double *x, const double *y, int size, int count)
{
    enum { PARTS = LAGS / DOUBLES };
    for (int at = 0; at < count; at += LAGS) {
        doubles total[PARTS] = {0};
        for (int t = 0; t < size; t++)
#pragma clang loop unroll(full)
            for (int k = 0; k < PARTS; k++) total[k] += x[t] * loads(y + t + at + DOUBLES * k);
        for (int k = 0; k < PARTS; k++) stores(out + at + DOUBLES * k, total[k]);
    }
}

/* The coefficients from the autocorrelation of the last samples by Levinson and Durbin's recursion, and the scale. */
static void linear_predictor(Group *g, Slot *slot)
{
    const Model *m = &g->model;
    const int order = m->shape.lpc_order, size = m->shape.lpc_window;
    const double *past = slot->wave + m->waves - size, *r = g->correlations, power = 0.5 * size;
    for (int t = 0; t < size; t += DOUBLES) stores(g->windowed + t, loads(past + t) * loads(m->window + t));
    correlate(g->correlations, g->windowed, g->windowed, size, order + 1);
    double *a = slot->coefficients; /* after k steps: k of them, then zeros; and the same backwards; r backwards */
    double backwards[MOST_ORDER + DOUBLES + 1] = {0}, reversed[MOST_ORDER + DOUBLES] = {0};
    memset(a, 0, padded(order, DOUBLES) * sizeof *a);
    for (int k = 0; k < order; k++) reversed[k] = r[order - k];
    double error = r[0] * (1 + WHITE_NOISE) + NOISE_FLOOR * power;
    for (int k = 0; k < order; k++) {
        doubles sums = 0.0;
        for (int i = 0; i < k; i += DOUBLES) sums += loads(a + i) * loads(reversed + order - k + i);
        const double reflection = (r[k + 1] - running_doubles(sums)[DOUBLES - 1]) / error;
        for (int i = padded(k, DOUBLES) - DOUBLES; i >= 0; i -= DOUBLES) {
            doubles u = loads(a + i), v = loads(backwards + i);
            stores(a + i, u - reflection * v), stores(backwards + i + 1, v - reflection * u);
        }
        a[k] = backwards[0] = reflection;
        error *= 1 - reflection * reflection;
    }
    double scale = __builtin_sqrt((error > 0 ? error : 0) / power);
    slot->scale = scale > LEAST_SCALE ? scale : LEAST_SCALE;
}

/* The lag at which the newest residuals correlate most with those before them. */
static double pitch(Group *g, Slot *slot)
{
    const Model *m = &g->model;
    const int size = m->shape.pitch_window, high = m->shape.longest_lag, lags = high - m->shape.shortest_lag + 1;
    const double *residual = slot->residual + m->residuals - size - high;
    correlate(g->correlations, residual + high, residual, size, lags); /* of lags from the longest on */
    doubles sums = 0.0, best = -1e300, best_place = 0.0, place = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int t = 0; t < size + high; t += DOUBLES) {
        doubles v = loads(residual + t);
        sums = running_doubles(v * v) + sums[DOUBLES - 1];
        stores(g->squares + t + 1, sums);
    }
    const double now = g->squares[high + size] - g->squares[high];
    for (int k = 0; k < lags; k += DOUBLES, place += DOUBLES) {
        doubles energy = loads(g->squares + k + size) - loads(g->squares + k);
        energy = __builtin_elementwise_sqrt(chosen(energy > 0, energy, 0) * now) + size * (LEAST_SCALE * LEAST_SCALE);
        doubles steps = loads(g->correlations + k) / energy * STEPS;
        doubles value = (steps + DOUBLE_ROUNDER - DOUBLE_ROUNDER) * (high + 1) + place; /* of equals the shortest lag */
        longs better = (value > best) & (place < lags);
        best = chosen(better, value, best), best_place = chosen(better, place, best_place);
    }
    int top = 0;
    for (int k = 1; k < DOUBLES; k++) top = best[k] > best[top] ? k : top;
    slot->lag = high - (int)best_place[top];
    return (best[top] - best_place[top]) / (high + 1) / STEPS;
}

static void analyze(Group *g, Slot *slot)
{
    linear_predictor(g, slot);
    slot->analysis[1] = (float)pitch(g, slot);
    slot->analysis[0] = (float)((logarithm(slot->scale) + 4.0) / 4.2);
    slot->analysis[2] = g->model.lag[slot->lag - g->model.shape.shortest_lag];
}

/* ---- The frame tier --------------------------------------------------------------------------------------------- */

/* c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c'), rounded. Gates lie as i, f, g, o, D+ each. */
static void lstm_cell(const float *gates, int16_t *h, float *c, int D, float limit)
{
    for (int d = 0; d < D; d += LANES) {
        floats i = load(gates + d), f = load(gates + D + d), g = load(gates + 2 * D + d), o = load(gates + 3 * D + d);
        floats cell = sigmoid(f) * load(c + d) + sigmoid(i) * hyperbolic_tangent(g);
        store(c + d, cell);
        round_to(h + d, sigmoid(o) * hyperbolic_tangent(cell), limit);
    }
}

/* One step of the frame tier for the slots `live`, up to the upsampling's output. */
static void step_frames(Group *g, Slot *const *live, int n)
{
    const Model *m = &g->model;
    const Shape *s = &m->shape;
    for (int k = 0; k < n; k++) {
        Slot *slot = live[k];
        if (slot->since == 0) begin_unit(g, slot);
        analyze(g, slot);
        int64_t last = s->clock_frames - 1, left = slot->duration - slot->since - 1;
        int64_t since = slot->since < last ? slot->since : last;
        const float *clock = m->clock + since * m->G;
        const float *rest = s->explicit_durations ? m->left + (left < last ? left : last) * m->G : NULL;
        for (int at = 0; at < m->G; at += LANES) { /* gates = base + clock (+ frames left) */
            floats sum = load(slot->base + at) + load(clock + at);
            store(slot->gates + at, rest ? sum + load(rest + at) : sum);
        }
        add_rows(slot->gates, slot->gates, m->analysis, slot->analysis, 3, m->G); /* gates += W analysis */
        g->jobs[k] = (Job){slot->gates, slot->gates, slot->past + m->P - 2 * m->frames.pairs, m->code_step, 0};
    }
    multiply(&m->frames, g->jobs, n); /* gates += W previous frame */
    for (int layer = 0; layer < s->n_rnn; layer++) {
        if (layer) { /* gates = b + W (state of the layer below) */
            for (int k = 0; k < n; k++)
                g->jobs[k] = (Job){live[k]->gates, m->gate_bias[layer], live[k]->h[layer - 1], m->state_step, 0};
            multiply(&m->inputs[layer], g->jobs, n);
        }
        for (int k = 0; k < n; k++) g->jobs[k] = (Job){live[k]->gates, live[k]->gates, live[k]->h[layer], m->state_step, 0};
        multiply(&m->recurrent[layer], g->jobs, n); /* gates += W state */
        for (int k = 0; k < n; k++) lstm_cell(live[k]->gates, live[k]->h[layer], live[k]->c[layer], m->D, m->state_limit);
    }
    for (int k = 0; k < n; k++) /* conditioning = b + W (top state) */
        g->jobs[k] = (Job){live[k]->conditioning, m->upsample_bias, live[k]->h[s->n_rnn - 1], m->state_step, 0};
    multiply(&m->upsample, g->jobs, n);
    for (int k = 0; k < n; k++) g->jobs[k].y = live[k]->filter, g->jobs[k].start = m->filter_bias;
    multiply(&m->filter, g->jobs, n); /* filter likewise */
}

/* ---- The sample tier -------------------------------------------------------------------------------------------- */

static const float RELU_LIMIT = 127.0f, LEAST = 1e-30f, MOST = 1e30f, LEAST_LOG_SCALE = -7.0f, MOST_LOG_SCALE = 4.0f;

/* Round a vector of features: a = round(x (A / m)); returns the step m / A. */
static float round_features(int16_t *a, const float *x, int width, float limit)
{
    floats most = LEAST;
    for (int at = 0; at < width; at += LANES)
        most = larger(smaller(larger(load(x + at), -load(x + at)), (floats)MOST), most);
    float m = highest(most), inverse = limit / m;
    for (int at = 0; at < width; at += LANES)
        round_to(a + at, smaller(larger(load(x + at), (floats)-MOST), (floats)MOST), inverse);
    return m / limit;
}

/* ReLU: a = round(x (127 / m)), and those of them that are not 0, with the places of their rows. */
INLINE void rectify(Active *active, const float *y, int width)
{
    floats most = LEAST;
    for (int at = 0; at < width; at += LANES) most = larger(smaller(load(y + at), (floats)MOST), most);
    float m = highest(most), inverse = RELU_LIMIT / m;
    typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));
    typedef uint16_t words8 __attribute__((ext_vector_type(8)));
    typedef _Bool bits __attribute__((ext_vector_type(16)));
    int n = 0;
    for (int at = 0; at < width; at += LANES) {
        ints whole = rounded(smaller(larger(load(y + at), (floats)0.0f), (floats)MOST) * inverse);
        WRITE(active->rounded + at, bytes16, __builtin_convertvector(whole, bytes16));
        bits above = __builtin_convertvector(whole, bits);
        uint16_t mask = READ(uint16_t, &above);
        for (int half = 0; half < 2; half++) {
            unsigned set = mask >> 8 * half & 255;
            WRITE(active->list + n, words8, READ(words8, active->places[set]) + (uint16_t)(at + 8 * half));
            n += __builtin_popcount(set);
        }
    }
    active->count = n, active->fours = (n + 3) / 4, active->step = m / RELU_LIMIT;
    for (int k = n; k < 4 * active->fours; k++) active->list[k] = (uint16_t)width; /* the row of zeros */
    active->rounded[width] = 0;
    const uint8_t *a = active->rounded;
    for (int k = 0; k < active->fours; k++) {
        const uint16_t *unit = active->list + 4 * k;
        const uint32_t first = a[unit[0]], second = a[unit[1]], third = a[unit[2]], fourth = a[unit[3]];
        active->values[k] = first | second << 8 | third << 16 | fourth << 24;
    }
}

/* A code from the mixture of `outputs`, by one uniform: it chooses a logistic, and what is left of it a value there. */
static int draw(const Model *m, const float *outputs, double center, const Slot *slot, float uniform)
{
    const int count = m->shape.components;
    const float *places = outputs + m->K, *log_scales = places + m->K, scale = (float)slot->scale;
    const float factor = (float)(1.0 / slot->temperature) * LOG2_E;
    float weights[MOST_COMPONENTS], totals[MOST_COMPONENTS], total = 0.0f;
    floats most = load(outputs);
    for (int k = LANES; k < m->K; k += LANES) most = larger(load(outputs + k), most);
    const float top = highest(most);
    for (int k = 0; k < m->K; k += LANES) store(weights + k, two_to((load(outputs + k) - top) * factor));
    for (int k = 0; k < count; k++) totals[k] = total += weights[k];
    const float target = uniform * total;
    int k = 0; /* counted, not searched: branches that nobody can predict cost more */
    for (int i = 0; i < count - 1; i++) k += totals[i] <= target;
    double inside = (double)(target - (totals[k] - weights[k])) / (double)weights[k];
    inside = inside > 0x1p-26 ? inside : 0x1p-26;
    inside = inside < 1 - 0x1p-26 ? inside : 1 - 0x1p-26;
    floats log_scale = smaller(larger((floats)log_scales[k], (floats)LEAST_LOG_SCALE), (floats)MOST_LOG_SCALE);
    const double sigma = (double)(scale * two_to(log_scale * LOG2_E)[0]);
    const double location = (double)((float)center + scale * places[k]);
    const double value = location + slot->temperature * sigma * logarithm(inside / (1 - inside));
    int code = 0; /* edges up to the value */
    for (int step = m->half; step; step /= 2) code += m->edges[code + step - 1] <= value ? step : 0;
    return lesser(code, m->shape.codes - 1);
}

/* y = x + W inputs + last[code] + W history, x being a place's conditioning. Of the history, what is older than the
 * frame has been summed. */
INLINE void first_layer(Group *g, const Slot *slot, int f, const float *inputs)
{
    const Model *m = &g->model;
    const int S = m->S, history = 2 * m->samples.pairs;
    const float *last = m->last + (size_t)slot->code * S, *place = slot->conditioning + (size_t)f * S;
    const int32_t *older = g->older + (size_t)f * S, *widened = g->widened + (size_t)f * S;
    const int16_t *recent = g->recent + f;
    for (int o = 0; o < S; o += LANES)
        store(g->y + o, m->R ? to_floats(READ(sums, widened + o)) * (load(m->widen.scale + o) * g->steps[f]) : load(place + o));
    add_rows(g->y, g->y, m->residual_in, inputs, m->J + 2, S);
    for (int at = 0; at < S; at += BLOCK) {
        sums totals[BLOCK / LANES];
        memcpy(totals, older + at, sizeof totals);
        const int16_t *weights = (const int16_t *)m->samples.weights + (ptrdiff_t)at * m->samples.pairs * 2;
        add_wide(totals, 1, BLOCK / LANES, weights, &recent, f < history ? (history - f) / 2 : 0, m->samples.pairs);
#pragma clang loop unroll(full)
        for (int v = 0; v < BLOCK / LANES; v++) {
            int o = at + LANES * v;
            floats x = load(g->y + o) + load(last + o);
            store(g->y + o, x + to_floats(totals[v]) * (load(m->samples.scale + o) * m->code_step));
        }
    }
}

/* What a frame's samples have of those before it: the linear prediction's sums, each from the oldest sample on, and the
 * residuals by the scale, clipped. */
static void begin_frame(Group *g, const Slot *slot)
{
    const Model *m = &g->model;
    const int order = m->shape.lpc_order;
    const double *past = slot->wave + m->waves;
    double a[MOST_ORDER + DOUBLES] = {0};
    memcpy(a, slot->coefficients, order * sizeof *a);
    memset(g->ahead, 0, (m->shape.frame + order + DOUBLES) * sizeof *g->ahead);
    for (int k = order; k > 0; k--)
        for (int f = 0; f <= order - k; f += DOUBLES)
            stores(g->ahead + f, loads(g->ahead + f) + loads(a + k - 1 + f) * past[-k]);
    int from = m->residuals - greater(m->shape.residual_taps, slot->lag + m->shape.pitch_taps);
    for (int k = from; k < m->residuals; k += DOUBLES)
        WRITE(g->ratios + k, floats8,
              __builtin_convertvector(clamped(loads(slot->residual + k) / slot->scale, LARGEST_RESIDUAL), floats8));
}

/* The inputs of sample f beside its history: residuals, the newest first, then around one lag before; the prediction,
 * companded and by the scale. Returns the prediction after the filter. */
INLINE double sample_inputs(const Group *g, const Slot *slot, int f, float *inputs)
{
    const Model *m = &g->model;
    const int taps = m->shape.residual_taps;
    const float *ratios = g->ratios + m->residuals + f, *periodic = ratios - slot->lag - m->shape.pitch_taps;
    const double p = g->ahead[f], size = p < 0 ? -p : p;
    const double companded = logarithm(1 + (m->shape.codes - 1) * size) / m->log_codes;
    for (int k = 0; k < taps; k++) inputs[k] = ratios[-1 - k];
    for (int k = 0; k < m->J - taps; k++) inputs[taps + k] = periodic[k];
    inputs[m->J] = (float)(p < 0 ? -companded : companded);
    inputs[m->J + 1] = (float)clamped(p / (LARGEST_RESIDUAL * slot->scale), LARGEST_RESIDUAL)[0];
    float filtered = 0.0f;
    for (int j = 0; j < m->J; j++) filtered += inputs[j] * slot->filter[j];
    return p + slot->scale * (double)filtered;
}

/* Take a sample's code for what comes after it. */
INLINE void add_sample(Group *g, Slot *slot, int f, int code)
{
    const Model *m = &g->model;
    const double x = m->values[code], residual = x - g->ahead[f];
    slot->code = code;
    slot->past[m->P + f] = g->recent[2 * m->samples.pairs + f] = (int16_t)(code - m->shape.codes / 2);
    slot->wave[m->waves + f] = x, slot->residual[m->residuals + f] = residual;
    g->ratios[m->residuals + f] = (float)clamped(residual / slot->scale, LARGEST_RESIDUAL)[0];
    double *ahead = g->ahead + f + 1;
    for (int k = 0; k < m->shape.lpc_order; k += DOUBLES)
        stores(ahead + k, loads(ahead + k) + loads(slot->coefficients + k) * x);
}

/* The F samples of a slot's frame. */
static void make_samples(Group *g, Slot *slot, const float *uniforms, int16_t *made)
{
    const Model *m = &g->model;
    const Shape *s = &m->shape;
    const int F = s->frame, S = m->S, history = 2 * m->samples.pairs;
    float inputs[MOST_INPUTS];
    if (m->R) {
        for (int f = 0; f < F; f++)
            g->steps[f] = round_features(g->features + f * m->R, slot->conditioning + f * m->R, m->R, m->rank_limit);
        sum_places(g->widened, &m->widen, g->features, m->R, 0, F);
    }
    sum_places(g->older, &m->samples, slot->past + m->P - history, 1, 1, F);
    memset(g->recent, 0, (history + F) * sizeof(int16_t));
    begin_frame(g, slot);
    for (int f = 0; f < F; f++) {
        const double center = sample_inputs(g, slot, f, inputs);
        first_layer(g, slot, f, inputs);
        for (int k = 0; k <= s->hidden_layers; k++) { /* y = b + W ReLU(y), and the outputs in the same way */
            int is_last = k == s->hidden_layers;
            const Table *next = is_last ? &m->output : &m->hidden[k];
            rectify(&g->active, g->y, S);
            g->positive[k] += g->active.count;
            multiply_rows(is_last ? g->outputs : g->y, is_last ? m->output_bias : m->hidden_bias[k], next, &g->active);
        }
        int code = draw(m, g->outputs, center, slot, uniforms[f]);
        add_sample(g, slot, f, code);
        made[f] = (int16_t)code;
    }
    g->samples += F;
    memmove(slot->past, slot->past + F, m->P * sizeof(int16_t));
    memset(slot->past + m->P, 0, F * sizeof(int16_t));
    memmove(slot->wave, slot->wave + F, m->waves * sizeof(double));
    memmove(slot->residual, slot->residual + F, m->residuals * sizeof(double));
}

/* ---- Durations -------------------------------------------------------------------------------------------------- */

enum { ADVANCED = 1, FORCED = 2 };

/* Implicit durations: whether the unit is over after this frame. Its hazard is softplus(logit) = -log(1 - P(over)), and
 * it ends when the summed hazard exceeds -log(1 - u): when the product of all 1 - P(over) falls below 1 - u. */
static int is_over(const Model *m, Slot *slot)
{
    int top = m->shape.n_rnn - 1;
    floats sums = 0.0f;
    for (int d = 0; d < m->D; d += LANES)
        sums += __builtin_convertvector(READ(shorts16, slot->h[top] + d), floats) * m->state_step * load(m->advance + d);
    float logit = running(sums)[LANES - 1] + m->advance_bias[0];
    slot->survival /= 1.0 + (double)two_to(logit * LOG2_E)[0];
    return slot->survival < slot->threshold;
}

/* Begin a unit: its duration, or the threshold of its survival, 1 - u with u pulled towards 1/2. False if it is not
 * known how long it lasts. */
static int plan_unit(const Model *m, Slot *slot, int32_t duration, double u)
{
    slot->cut = duration < 0, slot->duration = duration < 0 ? -(int64_t)duration : duration;
    if (m->shape.explicit_durations) return duration != 0;
    double pulled = 0.5 + slot->spread * (u - 0.5);
    slot->threshold = 1.0 - (pulled < 1.0 - 0x1p-24 ? pulled : 1.0 - 0x1p-24);
    slot->survival = 1.0;
    return 1;
}

/* Go to the next frame, and the next unit; returns what happened. */
static uint8_t advance(const Model *m, Slot *slot)
{
    slot->since++, slot->frames++;
    int is_explicit = m->shape.explicit_durations;
    int over = is_explicit ? slot->since == slot->duration && !slot->cut : is_over(m, slot);
    if (!over && slot->since < (is_explicit ? slot->duration : slot->unit_cap)) return 0;
    slot->unit++, slot->since = 0;
    return over ? ADVANCED : ADVANCED | FORCED;
}

/* ---- What Python calls ------------------------------------------------------------------------------------------ */

/* Slots for so many utterances; NULL if shape and weights do not fit, or there is no memory. The weights stay the
 * caller's, and must stay. */
EXPORT void *NAME(group_new)(const Shape *shape, const void *weights, size_t size, int32_t count)
{
    Model model;
    Group nowhere;
    if (!shape || !weights || (uintptr_t)weights % 64 || !within(count, 1, 1 << 20)) return NULL;
    if (!open_model(&model, shape, weights, size)) return NULL;
    Arena counted = {NULL, padded(sizeof(Group), 64)};
    give_all(&counted, &nowhere, &model, count);
    uint8_t *memory = calloc(1, counted.at + 64);
    if (!memory) return NULL;
    Group *g = (Group *)(memory + 63 - ((uintptr_t)memory + 63) % 64);
    Arena arena = {(uint8_t *)g, padded(sizeof(Group), 64)};
    g->memory = memory, g->model = model, g->count = count;
    give_all(&arena, g, &model, count);
    for (int mask = 0; mask < 256; mask++)
        for (int k = 0, n = 0; k < 8; k++)
            if (mask >> k & 1) g->active.places[mask][n++] = (uint16_t)k;
    return g;
}

EXPORT void NAME(group_free)(void *group) { free(((Group *)group)->memory); }

/* Begin an utterance; `vectors` (units, unit_dim) must stay until it ends. False if a number is out of range. */
EXPORT int32_t NAME(group_begin)(void *group, int32_t index, const float *vectors, int64_t units, int32_t speaker,
                                 int64_t frame_cap, int64_t unit_cap, double temperature, double spread)
{
    Group *g = group;
    const Model *m = &g->model;
    const Shape *s = &m->shape;
    if (!within(index, 0, g->count - 1) || !vectors || units < 1 || !within(speaker, 0, s->n_speakers - 1)) return 0;
    if (frame_cap < 1 || unit_cap < 1 || !(temperature > 0.0 && temperature <= 1e30) || !(spread >= 0.0 && spread <= 1.0)) return 0;
    Slot *slot = &g->slots[index];
    slot->vectors = vectors, slot->units = units;
    slot->unit = slot->since = slot->frames = 0;
    slot->unit_cap = unit_cap, slot->frame_cap = frame_cap;
    slot->speaker = speaker, slot->temperature = temperature, slot->spread = spread;
    slot->code = s->codes / 2;
    memset(slot->past, 0, (m->P + s->frame) * sizeof(int16_t));
    memset(slot->wave, 0, (m->waves + s->frame) * sizeof(double));
    memset(slot->residual, 0, (m->residuals + s->frame) * sizeof(double));
    for (int k = 0; k < s->n_rnn; k++) {
        memcpy(slot->h[k], m->h0[k], m->D * sizeof(int16_t));
        memcpy(slot->c[k], m->c0[k], m->D * sizeof(float));
    }
    return 1;
}

/* Make up to `frames` frames of each utterance; `done` says how many. An utterance is over when its last unit is, or
 * at its cap.
 *
 * uniforms (slots, frames, F + 1): a frame's samples, and the duration of a unit that begins there.
 * durations (slots, frames + 1), explicit ones: frames of the unit at hand and of those that follow it, negative where
 *     the cap cut it; 0: not known, the utterance waits there.
 * codes (slots, frames, F); events (slots, frames): 1 where a unit ended after the frame, 3 where its cap did that. */
EXPORT void NAME(group_run)(void *group, int32_t frames, const float *uniforms, const int32_t *durations,
                            int16_t *codes, uint8_t *events, int32_t *done)
{
    Group *g = group;
    const Model *m = &g->model;
    const int F = m->shape.frame;
    memset(done, 0, g->count * sizeof *done);
    for (int k = 0; k < g->count; k++) g->slots[k].first = g->slots[k].unit;
    for (int row = 0; row < frames; row++) {
        int n = 0;
        for (int k = 0; k < g->count; k++) {
            Slot *slot = &g->slots[k];
            if (slot->unit >= slot->units || slot->frames >= slot->frame_cap || done[k] < row) continue;
            int64_t at = (int64_t)k * (frames + 1) + slot->unit - slot->first;
            double u = uniforms[((size_t)k * frames + row) * (F + 1) + F];
            if (slot->since || plan_unit(m, slot, durations ? durations[at] : 0, u)) g->live[n++] = slot;
        }
        if (n == 0) return;
        step_frames(g, g->live, n);
        for (int j = 0; j < n; j++) {
            ptrdiff_t k = g->live[j] - g->slots;
            size_t at = (size_t)k * frames + row;
            make_samples(g, g->live[j], uniforms + at * (F + 1), codes + at * F);
            events[at] = advance(m, g->live[j]);
            done[k]++;
        }
    }
}

/* (hidden_layers + 1) counts of units above 0, and the samples that they are summed over. */
EXPORT int64_t NAME(group_counts)(const void *group, int64_t *positive)
{
    const Group *g = group;
    memcpy(positive, g->positive, (g->model.shape.hidden_layers + 1) * sizeof *positive);
    return g->samples;
}

/* Multiply a matrix of `outputs` x 2 `pairs` zeros, all of `weights`, by n vectors of inputs, so often; to measure. */
EXPORT void NAME(measure)(const uint8_t *weights, int32_t pairs, int32_t outputs, int32_t n, int32_t repeats, float *y)
{
    Job jobs[8];
    n = n < 8 ? n : 8;
    Table table = {pairs, outputs, y, weights};
    for (int j = 0; j < n; j++) jobs[j] = (Job){y, y, (const int16_t *)weights, 0.0f, 0};
    for (int k = 0; k < repeats; k++) multiply(&table, jobs, n);
}

#endif
